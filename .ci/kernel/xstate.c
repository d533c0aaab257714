/*
 * User-mode Linux 6.1 knows a fixed size of the processor's extended state. A host whose processor has more
 * (AMX) takes a write of that state only in full, and user-mode Linux panics. Preloaded, this makes each write
 * full: the part that it does not know is what the process has anyway.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FEATURES 512 /* where the header of the state says which parts are in use */
#define KNOWN 0x3ffULL /* the parts that user-mode Linux knows */

static unsigned char whole[1 << 16] __attribute__((aligned(64)));

static void fill(pid_t pid, struct iovec *part, struct iovec *full)
{
	uint64_t has, wants;

	full->iov_base = whole;
	full->iov_len = sizeof whole;
	if (syscall(SYS_ptrace, PTRACE_GETREGSET, pid, NT_X86_XSTATE, full) != 0 ||
	    full->iov_len <= part->iov_len || part->iov_len < FEATURES + sizeof has) {
		*full = *part;
		return;
	}
	memcpy(&has, whole + FEATURES, sizeof has);
	memcpy(whole, part->iov_base, part->iov_len);
	memcpy(&wants, whole + FEATURES, sizeof wants);
	wants = (wants & KNOWN) | (has & ~KNOWN);
	memcpy(whole + FEATURES, &wants, sizeof wants);
}

long ptrace(enum __ptrace_request request, ...)
{
	va_list arguments;
	va_start(arguments, request);
	pid_t pid = va_arg(arguments, pid_t);
	void *address = va_arg(arguments, void *);
	void *data = va_arg(arguments, void *);
	va_end(arguments);

	if (request == PTRACE_PEEKTEXT || request == PTRACE_PEEKDATA || request == PTRACE_PEEKUSER) {
		long word; /* the library gives it back, the kernel stores it */
		long failed = syscall(SYS_ptrace, request, pid, address, &word);
		return failed < 0 ? failed : word;
	}
	if (request == PTRACE_SETREGSET && (uintptr_t)address == NT_X86_XSTATE) {
		struct iovec full;
		fill(pid, data, &full);
		return syscall(SYS_ptrace, request, pid, address, &full);
	}
	return syscall(SYS_ptrace, request, pid, address, data);
}
