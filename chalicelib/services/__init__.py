"""What each verb means. No HTTP, no DynamoDB, no SQL."""
