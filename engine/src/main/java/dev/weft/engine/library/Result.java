package dev.weft.engine.library;

/** What becomes of one tensor that a {@link PreparedCall} returns. */
public sealed interface Result {
  /** Deleted at once: an alias of an {@code out} argument, or not wanted. */
  record Discard() implements Result {}

  /** Put into a slot, which must be empty then. */
  record Keep(TensorSlot slot) implements Result {}

  static Result discard() {
    return new Discard();
  }

  static Result keep(TensorSlot slot) {
    return new Keep(slot);
  }
}
