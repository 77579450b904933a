variable "zone_id" {
  description = "Id of the hosted zone."
  type        = string
}

variable "name" {
  description = "Name of the records, such as app.example.com or *.apps.example.com."
  type        = string
}

variable "initial_weights" {
  description = "Weights by set identifier, for records that do not exist yet."
  type        = map(number)
}
