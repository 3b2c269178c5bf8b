"""The arguments that our Terraform file uses, and the version of the AWS provider that introduced each.

Taken from the schemas of 13 versions of the provider, 4.67 to 6.25. A dot leads into a block.
"""

OLDEST = "4.67"
ARGUMENTS = {
    ("aws_api_gateway_deployment", OLDEST): "rest_api_id triggers",
    ("aws_api_gateway_method_settings", OLDEST): (
        "method_path rest_api_id settings settings.throttling_burst_limit settings.throttling_rate_limit stage_name"
    ),
    ("aws_api_gateway_rest_api", OLDEST): (
        "binary_media_types body endpoint_configuration endpoint_configuration.types minimum_compression_size name"
    ),
    ("aws_api_gateway_stage", OLDEST): "deployment_id rest_api_id stage_name",
    ("aws_api_gateway_usage_plan", OLDEST): (
        "api_stages api_stages.api_id api_stages.stage api_stages.throttle api_stages.throttle.burst_limit "
        "api_stages.throttle.path api_stages.throttle.rate_limit name quota_settings quota_settings.limit "
        "quota_settings.offset quota_settings.period throttle_settings throttle_settings.burst_limit "
        "throttle_settings.rate_limit"
    ),
    ("aws_cloudwatch_event_rule", OLDEST): "description name schedule_expression",
    ("aws_cloudwatch_event_target", OLDEST): "arn rule target_id",
    ("aws_cloudwatch_log_group", OLDEST): "name retention_in_days",
    ("aws_cloudwatch_metric_alarm", OLDEST): (
        "alarm_actions alarm_name comparison_operator dimensions evaluation_periods metric_name namespace period "
        "statistic threshold treat_missing_data"
    ),
    ("aws_dynamodb_table", OLDEST): (
        "attribute attribute.name attribute.type billing_mode deletion_protection_enabled hash_key name "
        "point_in_time_recovery point_in_time_recovery.enabled range_key "
        "stream_enabled stream_view_type ttl ttl.attribute_name ttl.enabled"
    ),
    ("aws_iam_role", OLDEST): "assume_role_policy name",
    ("aws_iam_role_policy", OLDEST): "name policy role",
    ("aws_iot_authorizer", OLDEST): "authorizer_function_arn name signing_disabled status",
    ("aws_iot_topic_rule", OLDEST): (
        "enabled error_action error_action.sqs error_action.sqs.queue_url error_action.sqs.role_arn "
        "error_action.sqs.use_base64 lambda lambda.function_arn name sql sql_version"
    ),
    ("aws_lambda_event_source_mapping", OLDEST): (
        "batch_size bisect_batch_on_function_error event_source_arn function_name maximum_batching_window_in_seconds "
        "function_response_types scaling_config scaling_config.maximum_concurrency starting_position"
    ),
    ("aws_lambda_function", OLDEST): (
        "architectures environment environment.variables filename function_name handler memory_size "
        "reserved_concurrent_executions role runtime source_code_hash tags timeout"
    ),
    ("aws_lambda_function", "5.32"): (
        "logging_config logging_config.application_log_level logging_config.log_format logging_config.system_log_level"
    ),
    ("aws_lambda_function_event_invoke_config", OLDEST): (
        "destination_config destination_config.on_failure destination_config.on_failure.destination function_name "
        "maximum_event_age_in_seconds maximum_retry_attempts"
    ),
    ("aws_lambda_permission", OLDEST): "action function_name principal source_account source_arn",
    ("aws_s3_bucket", OLDEST): "bucket",
    ("aws_s3_bucket_cors_configuration", OLDEST): (
        "bucket cors_rule cors_rule.allowed_headers cors_rule.allowed_methods cors_rule.allowed_origins "
        "cors_rule.max_age_seconds"
    ),
    ("aws_s3_bucket_lifecycle_configuration", OLDEST): (
        "bucket rule rule.abort_incomplete_multipart_upload "
        "rule.abort_incomplete_multipart_upload.days_after_initiation rule.filter rule.filter.prefix rule.id rule.status"
    ),
    ("aws_s3_bucket_public_access_block", OLDEST): (
        "block_public_acls block_public_policy bucket ignore_public_acls restrict_public_buckets"
    ),
    ("aws_sqs_queue", OLDEST): (
        "fifo_queue message_retention_seconds name redrive_policy sqs_managed_sse_enabled visibility_timeout_seconds"
    ),
    ("aws_iot_domain_configuration", "5.23"): (
        "authorizer_config authorizer_config.allow_authorizer_override authorizer_config.default_authorizer_name name "
        "service_type status"
    ),
    ("aws_iot_domain_configuration", "5.98"): "application_protocol authentication_type",
}
MAPS = {"tags", "dimensions", "environment.variables", "triggers"}
"""Arguments whose names are free."""
OF_TERRAFORM = {"depends_on", "lifecycle"}
