// SPDX-License-Identifier: MIT
// Python's headers of this machine for another processor (tools/wheels.sh includes this before all
// else): the sizes that differ are those of the compiler.
#if __has_include(<pyconfig.h>)
#include <pyconfig.h>
#undef SIZEOF_LONG
#undef SIZEOF_SIZE_T
#undef SIZEOF_UINTPTR_T
#undef SIZEOF_VOID_P
#define SIZEOF_LONG __SIZEOF_LONG__
#define SIZEOF_SIZE_T __SIZEOF_SIZE_T__
#define SIZEOF_UINTPTR_T __SIZEOF_POINTER__
#define SIZEOF_VOID_P __SIZEOF_POINTER__
#ifndef __SIZEOF_INT128__
#undef HAVE_GCC_UINT128_T
#endif
#endif
