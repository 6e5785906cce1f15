variable "name" {
  description = "Name of the sale, and prefix of all resources."
  type        = string
  default     = "stanchion"
}

variable "region" {
  description = "Region of AWS."
  type        = string
  default     = "eu-central-1"
}

variable "visitors" {
  description = "How many visitors come to the sale."
  type        = number
}

variable "admissions_per_second" {
  description = "How many buyers a second the checkout takes."
  type        = number
}

variable "sale_minutes" {
  description = "How long the sale lasts, for the costs."
  type        = number
  default     = 30
}

variable "operator_cidrs" {
  description = "Networks that may reach the Kubernetes API from outside."
  type        = list(string)
  default     = []
}

variable "redis_password" {
  description = "Password of Redis."
  type        = string
  sensitive   = true
}
