# One sale on AWS, sized by two numbers. `terraform output -raw estimate` prints what it needs and costs.
#
#   terraform init
#   terraform apply -var visitors=500000 -var admissions_per_second=50 -var redis_password="$(stanchion keygen)"
#   helm install stanchion ../../../helm/stanchion ...      (docs/deploying.md)

provider "aws" {
  region = var.region
}

locals {
  tags = { project = var.name }
}

module "sizing" {
  source                = "../../modules/sizing"
  visitors              = var.visitors
  admissions_per_second = var.admissions_per_second
  sale_minutes          = var.sale_minutes
}

module "network" {
  source = "../../modules/network"
  name   = var.name
  tags   = local.tags
}

module "cluster" {
  source         = "../../modules/cluster"
  name           = var.name
  subnet_ids     = module.network.private_subnet_ids
  operator_cidrs = var.operator_cidrs
  edge_machines  = module.sizing.machines
  shop_machines  = ceil(module.sizing.shop_pods / 2)
  tags           = local.tags
}

module "database" {
  source                   = "../../modules/database"
  name                     = var.name
  vpc_id                   = module.network.vpc_id
  subnet_ids               = module.network.private_subnet_ids
  client_security_group_id = module.cluster.security_group_id
  iops                     = module.sizing.database_iops
  tags                     = local.tags
}

module "redis" {
  source                   = "../../modules/redis"
  name                     = var.name
  vpc_id                   = module.network.vpc_id
  subnet_ids               = module.network.private_subnet_ids
  client_security_group_id = module.cluster.security_group_id
  password                 = var.redis_password
  tags                     = local.tags
}

module "monitoring" {
  source = "../../modules/monitoring"
  name   = var.name
  region = var.region
  tags   = local.tags
}
