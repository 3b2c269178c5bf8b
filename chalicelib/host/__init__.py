"""The services of the machine under the process: those of AWS, unless the embedded mode sets its own."""
