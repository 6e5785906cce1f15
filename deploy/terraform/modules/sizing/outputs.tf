output "machines" {
  description = "Machines that run the edge, one of them for a failure."
  value       = local.machines
}

output "workers" {
  description = "workers of the settings."
  value       = local.workers
}

output "memory_gb" {
  description = "Memory of a machine of the edge."
  value       = local.memory_gb
}

output "connections" {
  description = "Connections that all machines together must be able to hold."
  value       = local.connections
}

output "polls_per_second" {
  description = "The most polls a second."
  value       = local.polls_per_second
}

output "redis_memory_mb" {
  description = "Memory of Redis."
  value       = local.redis_memory_mb
}

output "database_iops" {
  description = "Input and output operations a second of the database."
  value       = local.database_iops
}

output "shop_pods" {
  description = "Pods of the shop, one of them for a failure."
  value       = local.shop_pods
}

output "wait_minutes" {
  description = "The longest wait in line."
  value       = local.wait_minutes
}

output "cost_usd" {
  description = "What the sale costs, in USD. The machines are paid while they run: scale down afterwards."
  value       = ceil(local.cost_total * 100) / 100
}

output "estimate" {
  description = "The whole estimate as a table."
  value = join("\n", [
    format("%-34s %14s", "visitors", var.visitors),
    format("%-34s %14s", "admissions a second", var.admissions_per_second),
    format("%-34s %14s", "longest wait, minutes", local.wait_minutes),
    format("%-34s %14s", "first visits a second", local.first_visits_per_second),
    format("%-34s %14s", "polls a second", local.polls_per_second),
    format("%-34s %14s", "orders", local.orders_per_sale),
    "",
    format("%-34s %14s %10s", format("for %s minutes", var.sale_minutes), "count", "USD"),
    format("%-34s %14s %10.2f", "machines of the edge", local.machines, local.cost_machines),
    format("%-34s %14s %10.2f", "pods of the shop", local.shop_pods, local.cost_shop),
    format("%-34s %14s %10.2f", "Redis nodes", 2, local.cost_redis),
    format("%-34s %14s %10.2f", "database instances", 2, local.cost_database),
    format("%-34s %14s %10.2f", "traffic, GB", local.traffic_gb, local.cost_traffic),
    format("%-34s %14s %10.2f", "load balancer", 1, local.cost_balancer),
    format("%-34s %14s %10.2f", "together", "", local.cost_total),
  ])
}
