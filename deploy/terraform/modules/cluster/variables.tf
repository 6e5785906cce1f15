variable "name" {
  description = "Name of the cluster."
  type        = string
}

variable "kubernetes_version" {
  description = "Version of Kubernetes."
  type        = string
  default     = "1.33"
}

variable "subnet_ids" {
  description = "Private subnets, in two zones or more."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "subnet_ids must name two subnets or more."
  }
}

variable "operator_cidrs" {
  description = "Networks that may reach the Kubernetes API from outside. Empty: none."
  type        = list(string)
  default     = []
}

variable "edge_machines" {
  description = "Machines for the edge."
  type        = number
}

variable "edge_instance_type" {
  description = "Machines for the edge: a core for each worker."
  type        = string
  default     = "c7i.xlarge"
}

variable "shop_machines" {
  description = "Machines for the shop."
  type        = number
}

variable "shop_instance_type" {
  description = "Machines for the shop."
  type        = string
  default     = "m7i.large"
}

variable "tags" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
}
