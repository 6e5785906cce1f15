run "a_small_sale_still_gets_two_machines" {
  command = plan
  variables {
    visitors              = 2000
    admissions_per_second = 5
  }
  assert {
    condition     = output.machines == 2
    error_message = "one machine more than the load needs, two at least"
  }
  assert {
    condition     = output.wait_minutes == 7
    error_message = "2000 visitors at 5/s wait for less than seven minutes"
  }
}

run "a_large_sale_gets_as_many_as_it_needs" {
  command = plan
  variables {
    visitors              = 5000000
    admissions_per_second = 200
  }
  # 83,334 first visits a second take 6.7 cores at half load, 333,334 polls take 13.3: 20 or 21 cores, 6 machines of 4.
  assert {
    condition     = output.machines == 7
    error_message = "${output.machines} machines"
  }
  assert {
    condition     = output.polls_per_second == 333334
    error_message = "${output.polls_per_second} polls a second"
  }
  assert {
    condition     = output.connections >= 5000000
    error_message = "every visitor may keep a connection"
  }
}

run "more_visitors_never_need_less" {
  command = plan
  variables {
    visitors              = 500000
    admissions_per_second = 50
  }
  assert {
    condition     = output.machines <= run.a_large_sale_gets_as_many_as_it_needs.machines && output.machines >= run.a_small_sale_still_gets_two_machines.machines
    error_message = "${output.machines} machines"
  }
  assert {
    condition     = output.cost_usd > 0 && output.cost_usd < 100
    error_message = "half an hour costs ${output.cost_usd} USD"
  }
  assert {
    condition     = strcontains(output.estimate, "together")
    error_message = output.estimate
  }
}

run "a_sale_without_a_checkout_is_refused" {
  command = plan
  variables {
    visitors              = 1000
    admissions_per_second = 0
  }
  expect_failures = [var.admissions_per_second]
}
