"""The rules of the API, one function for each verb. No HTTP, no DynamoDB, no SQL."""
