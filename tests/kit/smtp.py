"""A tiny SMTP server on this machine. It keeps what it gets."""

import socketserver
import threading


class SmtpServer:
    """Takes mails until ``close``.

    Args:
        refuse: the first word of a command that it refuses; None: it takes all.
    """

    def __init__(self, refuse=None):
        self.mails: list[str] = []
        self.commands: list[str] = []
        self.arrived = threading.Semaphore(0)
        kept = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                self.wfile.write(b"220 here\r\n")
                while line := self.rfile.readline().decode().strip():
                    kept.commands.append(line)
                    word = line.split()[0].upper()
                    if word == refuse:
                        self.wfile.write(b"550 no\r\n")
                        kept.arrived.release()
                    elif word == "EHLO":
                        self.wfile.write(b"250-here\r\n250 AUTH PLAIN\r\n")
                    elif word == "AUTH":
                        self.wfile.write(b"235 yes\r\n")
                    elif word == "DATA":
                        self._take()
                    elif word == "QUIT":
                        self.wfile.write(b"221 bye\r\n")
                        return
                    else:
                        self.wfile.write(b"250 yes\r\n")

            def _take(self):
                self.wfile.write(b"354 go on\r\n")
                lines = []
                while (line := self.rfile.readline().decode()) != ".\r\n":
                    lines.append(line)
                kept.mails.append("".join(lines))
                self.wfile.write(b"250 kept\r\n")
                kept.arrived.release()

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self):
        """Stop."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
