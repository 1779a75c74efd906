package dev.weft.engine.buffer;

/** Why a device holds bytes. */
public enum MemoryKind {
  /** Laid out by Weft before the program ran. */
  PLANNED,
  /** Allocated by a kernel for its result, and kept until the result's last use. */
  ADOPTED,
  /** Allocated by a kernel for itself, and free again when it returns. */
  WORKSPACE
}
