output "url" {
  description = "cluster.redis_url of the settings."
  value       = "rediss://${aws_elasticache_replication_group.this.primary_endpoint_address}:6379/0"
}
