package dev.weft.engine.program;

import org.jspecify.annotations.Nullable;

/**
 * A piece of memory of a program: a place in the scratch slab for the time from {@code first} to
 * {@code last} (positions of commands), a place bound from outside, or a constant.
 */
final class Buffer {
  final String name;
  final long bytes;
  final @Nullable Place bound;
  int first = Integer.MAX_VALUE;
  int last = -1;
  long offset = -1;

  Buffer(String name, long bytes, @Nullable Place bound) {
    this.name = name;
    this.bytes = bytes;
    this.bound = bound;
  }

  void live(int position) {
    first = Math.min(first, position);
    last = Math.max(last, position);
  }

  boolean isScratch() {
    return bound == null;
  }
}
