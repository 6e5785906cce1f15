variable "name" {
  description = "Name of the workspace."
  type        = string
}

variable "region" {
  description = "Region of the topics."
  type        = string
}

variable "tags" {
  description = "Tags of all resources."
  type        = map(string)
  default     = {}
}
