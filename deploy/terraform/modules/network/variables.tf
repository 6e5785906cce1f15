variable "name" {
  description = "Name of the network and prefix of what is in it."
  type        = string
}

variable "cidr" {
  description = "Addresses of the network, a /20 or larger."
  type        = string
  default     = "10.20.0.0/16"

  validation {
    condition     = can(cidrsubnet(var.cidr, 4, 15))
    error_message = "cidr must be a range such as 10.20.0.0/16."
  }
}

variable "tags" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
}
