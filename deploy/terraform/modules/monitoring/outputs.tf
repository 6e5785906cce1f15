output "remote_write_url" {
  description = "Where Prometheus in the cluster sends its samples."
  value       = "${aws_prometheus_workspace.this.prometheus_endpoint}api/v1/remote_write"
}

output "topic_arns" {
  description = "The topics of pages and tickets."
  value       = { for severity, topic in aws_sns_topic.alerts : severity => topic.arn }
}
