variable "visitors" {
  description = "How many visitors come to the sale."
  type        = number

  validation {
    condition     = var.visitors >= 1 && var.visitors <= 100000000
    error_message = "visitors must be from 1 to 100,000,000."
  }
}

variable "admissions_per_second" {
  description = "How many buyers a second the checkout takes. Measure it."
  type        = number

  validation {
    condition     = var.admissions_per_second > 0
    error_message = "admissions_per_second must be above 0."
  }
}

variable "rush_seconds" {
  description = "The time in which most visitors arrive."
  type        = number
  default     = 60

  validation {
    condition     = var.rush_seconds >= 1
    error_message = "rush_seconds must be 1 or more."
  }
}

variable "poll_seconds" {
  description = "polling.max_seconds of the room."
  type        = number
  default     = 15
}

variable "sale_minutes" {
  description = "How long the sale lasts, for the costs."
  type        = number
  default     = 30
}

variable "cores_per_machine" {
  description = "Cores of a machine that runs the edge, one worker each."
  type        = number
  default     = 4
}

variable "requests_per_order" {
  description = "Requests to the shop for each admitted visitor."
  type        = number
  default     = 30
}

variable "shop_requests_per_pod" {
  description = "Requests a second that one pod of the shop takes."
  type        = number
  default     = 200
}

variable "price_machine_hour" {
  description = "Price of a machine of the edge an hour, in USD."
  type        = number
  default     = 0.17
}

variable "price_redis_hour" {
  description = "Price of a Redis node an hour, in USD."
  type        = number
  default     = 0.034
}

variable "price_database_hour" {
  description = "Price of a database instance an hour, in USD."
  type        = number
  default     = 0.29
}

variable "price_traffic_gb" {
  description = "Price of a gigabyte that leaves the cloud, in USD."
  type        = number
  default     = 0.09
}

variable "price_balancer_hour" {
  description = "Price of the load balancer an hour, in USD."
  type        = number
  default     = 0.0225
}

variable "price_balancer_unit" {
  description = "Price of a capacity unit of the load balancer an hour, in USD."
  type        = number
  default     = 0.008
}
