/* The engine's small init (--init): starts the program, forwards signals to it, reaps what it leaves behind, and ends with its
 * status. No library: it runs in any image. Rebuilt by tools/build_init.py, embedded in berth/oci/small_init.py. */
typedef unsigned long ul;
#if defined(__x86_64__)
enum { RT_SIGPROCMASK = 14, EXECVE = 59, EXIT_GROUP = 231, WAIT4 = 61, KILL = 62, RT_SIGTIMEDWAIT = 128, CLONE = 56, SETPGID = 109, IOCTL = 16 };
static inline long sys(long n, long a, long b, long c, long d, long e)
{
	long r;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	__asm__ volatile("syscall" : "=a"(r) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
	return r;
}
__asm__(".globl _start\n_start:\n mov %rsp,%rdi\n and $-16,%rsp\n call begin\n");
#else
enum { RT_SIGPROCMASK = 135, EXECVE = 221, EXIT_GROUP = 94, WAIT4 = 260, KILL = 129, RT_SIGTIMEDWAIT = 137, CLONE = 220, SETPGID = 154, IOCTL = 29 };
static inline long sys(long n, long a, long b, long c, long d, long e)
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
	return x0;
}
__asm__(".globl _start\n_start:\n mov x0,sp\n bl begin\n");
#endif
enum { SIGCHLD_ = 17, SIG_SETMASK_ = 2, WNOHANG_ = 1, TIOCSPGRP_ = 0x5410 };

void begin(long *stack)
{
	long argc = stack[0];
	char **argv = (char **)(stack + 1);
	char **envp = argv + argc + 1;
	ul all = ~0UL, none = 0;
	long child;

	if (argc < 3)
		sys(EXIT_GROUP, 127, 0, 0, 0, 0);
	/* every signal waits for us: none is lost between the start and the loop */
	sys(RT_SIGPROCMASK, SIG_SETMASK_, (long)&all, 0, 8, 0);
	child = sys(CLONE, SIGCHLD_, 0, 0, 0, 0);
	if (child == 0) {
		/* a process group of its own, in the foreground of the terminal if there is one */
		sys(SETPGID, 0, 0, 0, 0, 0);
		int group = 0;
		long self = sys(
#if defined(__x86_64__)
			39
#else
			172
#endif
			, 0, 0, 0, 0, 0);
		group = (int)self;
		sys(IOCTL, 0, TIOCSPGRP_, (long)&group, 0, 0);
		sys(RT_SIGPROCMASK, SIG_SETMASK_, (long)&none, 0, 8, 0);
		sys(EXECVE, (long)argv[2], (long)(argv + 2), (long)envp, 0, 0);
		sys(EXIT_GROUP, 126, 0, 0, 0, 0);
	}
	if (child < 0)
		sys(EXIT_GROUP, 125, 0, 0, 0, 0);
	for (;;) {
		long number = sys(RT_SIGTIMEDWAIT, (long)&all, 0, 0, 8, 0);
		if (number < 0)
			continue;
		if (number != SIGCHLD_) {
			sys(KILL, child, number, 0, 0, 0);
			continue;
		}
		for (;;) {
			int status = 0;
			long pid = sys(WAIT4, -1, (long)&status, WNOHANG_, 0, 0);
			if (pid <= 0)
				break;
			if (pid == child)
				sys(EXIT_GROUP, (status & 0x7f) ? 128 + (status & 0x7f) : (status >> 8) & 0xff, 0, 0, 0, 0);
		}
	}
}
