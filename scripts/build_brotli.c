/* What the page calls: room(length) is where the text goes, compress(length) gives the length of the
   file (0 for a failure), file() is where it lies. The same bytes as Python's
   brotli.compress(text, quality=11, lgwin=24) gives. */
#include <brotli/encode.h>
#include <stdlib.h>

#define EXPORT(name) __attribute__((export_name(name)))

static uint8_t *text, *made;

_Noreturn void exit(int status) { __builtin_trap(); } /* asks the page for nothing */

EXPORT("room") uint8_t* room(size_t length) {
  free(text);
  return text = malloc(length + 1);
}

EXPORT("file") uint8_t* file(void) { return made; }

EXPORT("compress") size_t compress(size_t length) {
  size_t left = BrotliEncoderMaxCompressedSize(length), nothing = 0, total = 0;
  const uint8_t* next = text;
  uint8_t* end;
  BrotliEncoderState* encoder = BrotliEncoderCreateInstance(NULL, NULL, NULL);
  free(made);
  made = end = malloc(left);
  if (!encoder || !made) return 0;
  BrotliEncoderSetParameter(encoder, BROTLI_PARAM_QUALITY, BROTLI_MAX_QUALITY);
  BrotliEncoderSetParameter(encoder, BROTLI_PARAM_LGWIN, BROTLI_MAX_WINDOW_BITS);
  /* the whole text and then the end, as Python does it: in one call the bytes may be others */
  int well = BrotliEncoderCompressStream(encoder, BROTLI_OPERATION_PROCESS, &length, &next, &left,
                                         &end, &total) &&
             BrotliEncoderCompressStream(encoder, BROTLI_OPERATION_FINISH, &nothing, &next, &left,
                                         &end, &total) &&
             BrotliEncoderIsFinished(encoder);
  BrotliEncoderDestroyInstance(encoder);
  return well ? total : 0;
}
