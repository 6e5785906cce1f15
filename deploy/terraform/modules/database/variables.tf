variable "name" {
  description = "Name of the database."
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

variable "instance_class" {
  description = "Size of the instances."
  type        = string
  default     = "db.m7g.large"
}

variable "iops" {
  description = "Input and output operations a second; up to 3000 are included."
  type        = number
  default     = 3000
}

variable "tags" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
}
