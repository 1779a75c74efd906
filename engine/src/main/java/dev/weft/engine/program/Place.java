package dev.weft.engine.program;

import dev.weft.core.graph.Strided;
import dev.weft.core.graph.TensorType;

/**
 * Memory for one tensor that a graph reads or writes, itself and no other: a device's buffer, or
 * what stands for one while a graph is compiled.
 */
public interface Place {
  String name();

  TensorType type();

  /** In which order the elements lie. */
  Strided layout();

  /** Stands for memory, row-major, that is there only when the compiled graph is loaded. */
  static Place of(String name, TensorType type) {
    return new Place() {
      @Override
      public String name() {
        return name;
      }

      @Override
      public TensorType type() {
        return type;
      }

      @Override
      public Strided layout() {
        return Strided.dense(type.shape());
      }

      @Override
      public String toString() {
        return name + ": " + type;
      }
    };
  }
}
