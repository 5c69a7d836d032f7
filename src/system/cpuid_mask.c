/* Hides instruction sets from a process: a library for LD_PRELOAD, built by cpuid_mask.py.
 *
 * Runtimes choose their kernels by the CPUID instruction. Linux can make that instruction fault
 * (arch_prctl(2), ARCH_SET_CPUID; "CPUID faulting" of the processor). The handler below answers in
 * its place, without the bits of the sets to hide. All other instructions run natively, so the
 * process computes with the kernels for an older processor, bit for bit and at full speed.
 *
 * The setting belongs to a thread. New threads inherit it, and exec() clears it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_SET_CPUID 0x1012

/* Bits of a register by number, as the manuals of the processors give them. */
#define BIT(number) (UINT32_C(1) << (number))

/* Leaf 7, subleaf 0. */
#define EBX_AVX512 (BIT(16) | BIT(17) | BIT(28) | BIT(30) | BIT(31)) /* F, DQ, CD, BW, VL */
#define EBX_AVX512_OTHERS (BIT(21) | BIT(26) | BIT(27))              /* IFMA, PF, ER */
#define ECX_AVX512_OTHERS (BIT(1) | BIT(6) | BIT(12) | BIT(14)) /* VBMI, VBMI2, BITALG, VPOPCNTDQ */
#define ECX_AVX512_VNNI BIT(11)
#define EDX_AVX512_OTHERS (BIT(2) | BIT(3) | BIT(8) | BIT(23)) /* 4VNNIW, 4FMAPS, VP2INTERSECT, FP16 */
#define EDX_AMX (BIT(22) | BIT(24) | BIT(25))                  /* BF16, TILE, INT8 */
/* Leaf 7, subleaf 1. */
#define EAX1_AVX_VNNI BIT(4)
#define EAX1_AVX512_BF16 BIT(5)
#define EAX1_AMX_FP16 BIT(21)
#define EAX1_AVX_IFMA BIT(23)
#define EDX1_AVX_OTHERS (BIT(4) | BIT(5) | BIT(10)) /* VNNI-INT8, NE-CONVERT, VNNI-INT16 */
#define EDX1_NEWER (BIT(8) | BIT(19) | BIT(21))     /* AMX-COMPLEX, AVX10, APX */

enum level { AVX2 = 1, AVX512 = 2, AVX512_VNNI = 3 };

static enum level level;
static struct sigaction before;

/* The level in effect, for a check that the library was loaded; 0 if it is none. */
int lightship_cpuid_mask_level(void) { return (int)level; }

static void ask_processor(uint32_t leaf, uint32_t subleaf, uint32_t answer[4]) {
  syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1);
  __asm__ volatile("cpuid"
                   : "=a"(answer[0]), "=b"(answer[1]), "=c"(answer[2]), "=d"(answer[3])
                   : "a"(leaf), "c"(subleaf));
  syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0);
}

static void hide(uint32_t leaf, uint32_t subleaf, uint32_t answer[4]) {
  if (leaf == 7 && subleaf == 0) {
    answer[3] &= ~(EDX_AMX | EDX_AVX512_OTHERS);
    if (level < AVX512_VNNI) {
      answer[1] &= ~EBX_AVX512_OTHERS;
      answer[2] &= ~(ECX_AVX512_OTHERS | ECX_AVX512_VNNI);
    }
    if (level < AVX512) answer[1] &= ~EBX_AVX512;
  } else if (leaf == 7 && subleaf == 1) {
    answer[0] &= ~(EAX1_AVX_VNNI | EAX1_AVX512_BF16 | EAX1_AMX_FP16 | EAX1_AVX_IFMA);
    answer[3] &= ~(EDX1_AVX_OTHERS | EDX1_NEWER);
  } else if (leaf == 0x1d || leaf == 0x1e || leaf == 0x24) { /* details of AMX and AVX10 */
    memset(answer, 0, 4 * sizeof *answer);
  }
}

static void answer_cpuid(int number, siginfo_t *info, void *context) {
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  const uint8_t *code = (const uint8_t *)registers[REG_RIP];
  (void)number;
  /* A fault of CPUID comes from the kernel without an address; then the code can be read. */
  if (info->si_code == SI_KERNEL && code[0] == 0x0f && code[1] == 0xa2) {
    int saved_errno = errno;
    uint32_t answer[4];
    uint32_t leaf = (uint32_t)registers[REG_RAX], subleaf = (uint32_t)registers[REG_RCX];
    ask_processor(leaf, subleaf, answer);
    hide(leaf, subleaf, answer);
    registers[REG_RAX] = answer[0];
    registers[REG_RBX] = answer[1];
    registers[REG_RCX] = answer[2];
    registers[REG_RDX] = answer[3];
    registers[REG_RIP] += 2;
    errno = saved_errno;
    return;
  }
  /* Any other fault is the program's own: it happens again, with the former handler. */
  sigaction(SIGSEGV, &before, NULL);
}

__attribute__((constructor)) static void start(void) {
  const char *name = getenv("LIGHTSHIP_CPUID_MASK");
  struct sigaction action;
  if (name == NULL) return;
  if (strcmp(name, "avx2") == 0) level = AVX2;
  if (strcmp(name, "avx512") == 0) level = AVX512;
  if (strcmp(name, "avx512_vnni") == 0) level = AVX512_VNNI;
  if (level == 0) return;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = answer_cpuid;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  if (sigaction(SIGSEGV, &action, &before) != 0 || syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0) != 0)
    level = 0; /* lightship_cpuid_mask_level() tells it */
}
