# How large everything must be, from two numbers: how many visitors come, and how many of them checkout takes a second.
# No provider is needed: `terraform -chdir=modules/sizing plan -var visitors=500000 -var admissions_per_second=50`.
# The figures of one core are those of docs/performance.md, halved.

terraform {
  required_version = ">= 1.7"
}

locals {
  # One compiled worker at half load.
  first_visits_per_core = 12500
  polls_per_core        = 25000

  first_visits_per_second = ceil(var.visitors / var.rush_seconds)
  polls_per_second        = ceil(var.visitors / var.poll_seconds)
  wait_minutes            = ceil(var.visitors / var.admissions_per_second / 60)

  cores = ceil(
    local.first_visits_per_second / local.first_visits_per_core + local.polls_per_second / local.polls_per_core
  )
  # Two machines at least, and one more than the load needs: any of them may fail.
  machines        = max(2, ceil(local.cores / var.cores_per_machine) + 1)
  workers         = var.cores_per_machine
  connections     = local.machines * 2 * ceil(var.visitors / local.machines)
  memory_gb       = max(2, ceil((0.1 * local.workers) + (var.visitors / local.machines) * 5.1 / 1000000))
  redis_memory_mb = max(64, ceil(var.admissions_per_second * 3600 * 0.0002) + 32)
  orders_per_sale = ceil(var.admissions_per_second * 60 * var.sale_minutes)
  database_iops   = max(3000, ceil(var.admissions_per_second * 20))
  traffic_gb      = ceil((var.visitors * 2.9 + local.polls_per_second * 60 * var.sale_minutes * 0.5) / 1000000)
  shop_requests   = ceil(var.admissions_per_second * var.requests_per_order)
  shop_pods       = max(2, ceil(local.shop_requests / var.shop_requests_per_pod) + 1)
  hours           = var.sale_minutes / 60
  cost_machines   = local.machines * var.price_machine_hour * local.hours
  cost_shop       = local.shop_pods * var.price_machine_hour / 2 * local.hours
  cost_redis      = 2 * var.price_redis_hour * local.hours
  cost_database   = 2 * var.price_database_hour * local.hours
  cost_traffic    = local.traffic_gb * var.price_traffic_gb
  cost_balancer   = var.price_balancer_hour * local.hours + var.price_balancer_unit * ceil(local.first_visits_per_second / 25) * local.hours
  cost_total      = local.cost_machines + local.cost_shop + local.cost_redis + local.cost_database + local.cost_traffic + local.cost_balancer
}
