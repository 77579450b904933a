output "weights" {
  description = "Weights by set identifier, of those in initial_weights."
  value       = { for id, initial in var.initial_weights : id => try(max(local.found[id]...), initial) }
}
