package dev.weft.engine.library;

import java.lang.foreign.Linker;
import java.lang.invoke.MethodHandle;

/**
 * The C library's heap, which a libtorch before 2.13 expects the cell of an optional value from.
 */
final class CHeap {
  static final MethodHandle ALLOCATE = link("void* malloc(size_t size)");
  static final MethodHandle FREE = link("void free(void* memory)");

  private CHeap() {}

  private static MethodHandle link(String declaration) {
    Prototype prototype = Prototype.parse(declaration);
    Linker linker = Linker.nativeLinker();
    return linker.downcallHandle(
        linker.defaultLookup().findOrThrow(prototype.name()), prototype.descriptor());
  }
}
