/* SPDX-License-Identifier: MIT
   The default weights, inside the program: one file to copy, found from every directory (embedded_weights.h). */
    .section .rodata
    .balign 64
    .globl mien_embedded_cascade_begin, mien_embedded_cascade_end
    .globl mien_embedded_emotion_begin, mien_embedded_emotion_end
    .globl mien_embedded_gender_begin, mien_embedded_gender_end
mien_embedded_cascade_begin:
    .incbin MIEN_CASCADE_FILE
mien_embedded_cascade_end:
    .balign 64
mien_embedded_emotion_begin:
    .incbin MIEN_EMOTION_FILE
mien_embedded_emotion_end:
    .balign 64
mien_embedded_gender_begin:
    .incbin MIEN_GENDER_FILE
mien_embedded_gender_end:
    .byte 0
    .section .note.GNU-stack,"",%progbits
