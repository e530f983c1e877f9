# SPDX-License-Identifier: Apache-2.0
# Commands for a core or a live child: gdb -x .gdbinit -p PID
# RUNTIME is a pw_runtime_t *, found in any frame that has `rt`.

define pw-pool
  set $pw_i = ((pw_runtime_t *)($arg0))->instances
  while $pw_i
    printf "%s, generation %d: ", $pw_i->spec->name, $pw_i->generation
    output $pw_i->member.state
    printf ", %d leases, %d thread states, applications:", $pw_i->member.leases, $pw_i->tstates.count
    set $pw_n = 0
    while $pw_n < $pw_i->spec->apps->nelts
      printf " "
      output (pw_slot_e)$pw_i->member.slots[$pw_n]
      set $pw_n = $pw_n + 1
    end
    printf "\n"
    set $pw_i = $pw_i->next
  end
end
document pw-pool
pw-pool RUNTIME: every instance, its state, leases and applications.
end

define pw-lease-here
  if this_thread && this_thread->request
    printf "OS thread %llu runs a request: %p\n", (unsigned long long)this_thread->serial, this_thread->request
  end
end
document pw-lease-here
The request that the selected thread is running.
end

define pw-leases
  thread apply all -q -s pw-lease-here
end
document pw-leases
pw-leases: the threads that run a request now.
end
