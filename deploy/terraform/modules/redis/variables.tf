variable "name" {
  description = "Name of the Redis."
  type        = string
}

variable "vpc_id" {
  description = "The network."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets, in two zones or more."
  type        = list(string)
}

variable "client_security_group_id" {
  description = "The group that may connect: the cluster's."
  type        = string
}

variable "node_type" {
  description = "Size of the two nodes. The smallest holds far more than the edge stores."
  type        = string
  default     = "cache.t4g.small"
}

variable "password" {
  description = "The password that the edge finds in cluster.redis_password_env."
  type        = string
  sensitive   = true

  validation {
    condition     = length(var.password) >= 16
    error_message = "password must have 16 characters or more."
  }
}

variable "tags" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
}
