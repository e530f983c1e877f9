# SPDX-License-Identifier: Apache-2.0
# Commands for a core or a live child: gdb -x .gdbinit -p PID

define pw-thread-here
  if this_thread
    set $pw_runtime = this_thread->rt
    if this_thread->request
      printf "OS thread %llu runs a request: %p\n", (unsigned long long)this_thread->serial, this_thread->request
    end
  end
end
document pw-thread-here
The request that the selected thread is running; remembers the runtime.
end

define pw-leases
  thread apply all -q -s pw-thread-here
end
document pw-leases
pw-leases: the threads that run a request now.
end

define pw-pool
  set $pw_runtime = (pw_runtime_t *)0
  pw-leases
  if $pw_runtime
    set $pw_i = $pw_runtime->instances
  else
    printf "no thread has entered an interpreter yet\n"
    set $pw_i = (pw_instance_t *)0
  end
  while $pw_i
    printf "%s, generation %d: ", $pw_i->spec->name, $pw_i->generation
    output $pw_i->member.state
    printf ", %d leases, %d thread states, applications:", $pw_i->member.leases, $pw_i->tstates.count
    set $pw_n = 0
    while $pw_n < $pw_i->spec->apps->nelts
      printf " %d", $pw_i->member.slots[$pw_n]
      set $pw_n = $pw_n + 1
    end
    printf "\n"
    set $pw_i = $pw_i->next
  end
end
document pw-pool
pw-pool: every instance, its state, leases and applications (0 idle, 1 wanted,
2 loading, 3 loaded, 4 failed).
end
