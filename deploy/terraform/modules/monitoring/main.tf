# A managed Prometheus with the project's rules. Alerts of severity `page` and `ticket` go to two topics.

resource "aws_prometheus_workspace" "this" {
  alias = var.name
  tags  = var.tags
}

resource "aws_prometheus_rule_group_namespace" "stanchion" {
  name         = "stanchion"
  workspace_id = aws_prometheus_workspace.this.id
  data         = file("${path.module}/../../../prometheus/rules.yaml")
}

resource "aws_sns_topic" "alerts" {
  for_each          = toset(["page", "ticket"])
  name              = "${var.name}-${each.key}"
  kms_master_key_id = "alias/aws/sns"
  tags              = var.tags
}

resource "aws_prometheus_alert_manager_definition" "this" {
  workspace_id = aws_prometheus_workspace.this.id
  definition = yamlencode({
    alertmanager_config = yamlencode({
      route = {
        receiver = "ticket"
        group_by = ["alertname", "room"]
        routes   = [{ matchers = ["severity=\"page\""], receiver = "page", repeat_interval = "30m" }]
      }
      receivers = [
        for severity, topic in aws_sns_topic.alerts : {
          name        = severity
          sns_configs = [{ topic_arn = topic.arn, sigv4 = { region = var.region } }]
        }
      ]
    })
  })
}
