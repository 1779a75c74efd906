package dev.weft.engine.library;

/** Where a call finds a tensor: one for always, or whatever a slot holds at that moment. */
public sealed interface TensorSource permits TensorHandle, TensorSlot {
  /**
   * The address of the live handle, which stays its owner's.
   *
   * @throws IllegalStateException if there is none: closed or not yet made
   */
  long address();
}
