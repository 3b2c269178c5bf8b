"""The tools that tests share.

api: calls the app with API Gateway events and reads its answers.
asgi: calls an ASGI application with one request.
billing: counts DynamoDB calls and their billed units.
clock: replaces the clock by one that a test moves.
faults: lets DynamoDB refuse, time out, lose answers, or end the process.
policies: checks every AWS call of a function against the function's policy.
quick_moto: lets moto answer DynamoDB calls faster.
strict_dynamodb: refuses what DynamoDB refuses and moto accepts.
tables: makes both tables in moto, and empties them.
world: makes a profile with a device, and points to send.
"""
