package dev.weft.engine.library;

import dev.weft.core.graph.DataType;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;

/** One argument of a {@link PreparedCall}, as the schema of the operator declares it. */
public sealed interface Argument {
  /** {@code Tensor}. */
  record Tensor(TensorSource source) implements Argument {
    /** The element type and sizes that it has now. */
    @Override
    public String toString() {
      return Tensors.describe(source.address());
    }
  }

  /** {@code Tensor[]}. */
  record TensorList(List<TensorSource> sources) implements Argument {
    public TensorList {
      sources = List.copyOf(sources);
    }

    @Override
    public String toString() {
      return sources.stream()
          .map(source -> Tensors.describe(source.address()))
          .collect(Collectors.joining(", ", "[", "]"));
    }
  }

  /** {@code int} or {@code SymInt}; may change between calls. */
  record Int(long value) implements Argument {
    @Override
    public String toString() {
      return Long.toString(value);
    }
  }

  /** {@code float}, a C double; may change between calls. */
  record Real(double value) implements Argument {
    @Override
    public String toString() {
      return Double.toString(value);
    }
  }

  /** {@code bool}. */
  record Truth(boolean value) implements Argument {
    @Override
    public String toString() {
      return Boolean.toString(value);
    }
  }

  /** {@code ScalarType}. */
  record Type(DataType value) implements Argument {
    @Override
    public String toString() {
      return value.toString();
    }
  }

  /** An optional list that is not there. */
  record NoneList() implements Argument {
    @Override
    public String toString() {
      return "none";
    }
  }

  /** libtorch's number for a layout, memory format or kind of device. */
  record Code(int value) implements Argument {
    @Override
    public String toString() {
      return Integer.toString(value);
    }
  }

  /** {@code int[]} or {@code SymInt[]}. */
  record Ints(List<Long> values) implements Argument {
    public Ints {
      values = List.copyOf(values);
    }

    public Ints(long... values) {
      this(Arrays.stream(values).boxed().toList());
    }

    @Override
    public String toString() {
      return values.toString();
    }
  }

  /** {@code bool[]}. */
  record Truths(List<Boolean> values) implements Argument {
    public Truths {
      values = List.copyOf(values);
    }

    @Override
    public String toString() {
      return values.toString();
    }
  }

  /** {@code str}. The dispatcher never frees the copy that it makes, some 48 bytes per call. */
  record Text(String value) implements Argument {
    @Override
    public String toString() {
      return '"' + value + '"';
    }
  }

  /** An optional argument that is there. */
  record Some(Argument value) implements Argument {
    @Override
    public String toString() {
      return value.toString();
    }
  }

  /** An optional argument that is not there. */
  record None() implements Argument {
    @Override
    public String toString() {
      return "none";
    }
  }
}
