-- Registration -----------------------------------------------------------------------------------------------------

redis.register_function('group_send', group_send)
redis.register_function('channel_send', channel_send)
redis.register_function('group_add', group_add)
redis.register_function('group_position', group_position)
redis.register_function{ function_name = 'group_discard', callback = group_discard, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'gateway_lease', callback = gateway_lease, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'gateway_release', callback = gateway_release, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'gateway_sweep', callback = gateway_sweep, flags = { 'allow-oom' } }
redis.register_function('gateway_retain', gateway_retain)
redis.register_function('gateway_trial', gateway_trial)
redis.register_function('gateway_collect', gateway_collect)
redis.register_function('outgoing_collect', outgoing_collect)
redis.register_function('outgoing_commit', outgoing_commit)
redis.register_function('relay_collect', relay_collect)
redis.register_function('relay_commit', relay_commit)
redis.register_function('policy_set', policy_set)
redis.register_function('mark_read', mark_read)
redis.register_function('mark_delivered', mark_delivered)
redis.register_function{ function_name = 'inbox', callback = inbox, flags = { 'no-writes' } }
redis.register_function{ function_name = 'receipts', callback = receipts, flags = { 'no-writes' } }
redis.register_function{ function_name = 'schedule_cancel', callback = schedule_cancel, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'schedule_list', callback = schedule_list, flags = { 'no-writes' } }
redis.register_function('due_run', due_run)
redis.register_function('escalation_claim', escalation_claim)
redis.register_function('escalation_finish', escalation_finish)
redis.register_function{ function_name = 'escalation_list', callback = escalation_list, flags = { 'no-writes' } }
redis.register_function('escalation_retry', escalation_retry)
redis.register_function('push_set', push_set)
redis.register_function('push_delete', push_delete)
redis.register_function{ function_name = 'user_groups', callback = user_groups, flags = { 'no-writes' } }
redis.register_function{ function_name = 'user_erase', callback = user_erase, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'group_read', callback = group_read, flags = { 'no-writes' } }
redis.register_function{ function_name = 'tocsin_version', callback = tocsin_version, flags = { 'no-writes' } }
