package dev.weft.core.conformance;

import dev.weft.core.graph.Factors;
import dev.weft.core.graph.TensorType;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** How large each factor of an application is, from the dims that it makes up. */
final class FactorSizes {
  private final Map<String, Long> sizes = new HashMap<>();

  private FactorSizes() {}

  /**
   * Solves for all factors.
   *
   * @throws AssertionError if two dims disagree, or dims do not say how large a factor is
   */
  static FactorSizes of(Factors factors, List<TensorType> inputs, List<TensorType> outputs) {
    var result = new FactorSizes();
    var open = new ArrayList<Dim>();
    collect(factors, factors.inputs(), inputs, open);
    collect(factors, factors.outputs(), outputs, open);
    boolean progress = true;
    while (progress) {
      progress = open.removeIf(result::solve);
    }
    if (!open.isEmpty()) {
      throw new AssertionError("the sizes of factors do not follow from " + open);
    }
    return result;
  }

  private record Dim(List<String> factors, long size) {}

  private static void collect(
      Factors factors, List<List<List<String>>> side, List<TensorType> types, List<Dim> dims) {
    for (int i = 0; i < types.size(); i++) {
      for (int dim = 0; dim < types.get(i).rank(); dim++) {
        List<String> names = side.get(i).get(dim);
        // Dims under a window are linked, but differ in size.
        if (names.size() == 1 && factors.marks().get(names.getFirst()) == Factors.Mark.HALO) {
          continue;
        }
        dims.add(new Dim(names, types.get(i).size(dim)));
      }
    }
  }

  /** Whether all factors of the dim are known now. */
  private boolean solve(Dim dim) {
    long rest = dim.size;
    String unknown = null;
    for (String factor : dim.factors) {
      Long size = sizes.get(factor);
      if (size == null) {
        if (unknown != null) {
          return false;
        }
        unknown = factor;
      } else if (size == 0 || rest % size != 0) {
        throw new AssertionError("factor " + factor + " of size " + size + " in " + dim);
      } else {
        rest /= size;
      }
    }
    if (unknown != null) {
      sizes.put(unknown, rest);
    } else if (rest != 1) {
      throw new AssertionError("factors " + sizes + " do not make up " + dim);
    }
    return true;
  }

  List<String> names() {
    return sizes.keySet().stream().sorted().toList();
  }

  /** False for a factor under a window, which has a size in each tensor. */
  boolean isKnown(String factor) {
    return sizes.containsKey(factor);
  }

  long size(String factor) {
    return Objects.requireNonNull(sizes.get(factor), factor);
  }
}
