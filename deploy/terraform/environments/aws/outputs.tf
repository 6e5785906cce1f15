output "estimate" {
  description = "What the sale needs and costs, as a table."
  value       = module.sizing.estimate
}

output "values" {
  description = "What the Helm chart needs: values.yaml."
  value = yamlencode({
    replicas = module.sizing.machines
    settings = {
      workers = module.sizing.workers
      cluster = { redis_url = module.redis.url, redis_password_env = "REDIS_PASSWORD" }
    }
    nodeSelector = { role = "edge" }
    tolerations  = [{ key = "role", value = "edge", effect = "NoSchedule" }]
  })
}

output "cluster" {
  description = "Name of the cluster, for aws eks update-kubeconfig."
  value       = module.cluster.name
}

output "database" {
  description = "Address of PostgreSQL, and where its password is."
  value       = { address = module.database.address, password_secret_arn = module.database.password_secret_arn }
}

output "monitoring" {
  description = "Where samples go, and where alerts go."
  value       = { remote_write_url = module.monitoring.remote_write_url, topic_arns = module.monitoring.topic_arns }
}
