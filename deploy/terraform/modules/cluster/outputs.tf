output "name" {
  description = "Name of the cluster."
  value       = aws_eks_cluster.this.name
}

output "endpoint" {
  description = "Address of the Kubernetes API."
  value       = aws_eks_cluster.this.endpoint
}

output "security_group_id" {
  description = "The group of all pods and machines; stores let it in."
  value       = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
}
