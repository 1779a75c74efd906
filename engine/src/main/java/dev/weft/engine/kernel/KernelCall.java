package dev.weft.engine.kernel;

import java.util.List;
import java.util.Optional;

/**
 * One call of a kernel's text.
 *
 * @param target who is called
 * @param name for example {@code gelu}
 * @param overload of the dispatcher's operator; empty without
 * @param arguments all, in order
 * @param results tensors that the callee makes; empty where the result is dropped
 */
public record KernelCall(
    Target target,
    String name,
    String overload,
    List<KernelArgument> arguments,
    List<Optional<TensorExpression.Name>> results) {
  /** Who is called. */
  public enum Target {
    ATEN,
    SHIM,
    WEFT
  }

  public KernelCall {
    arguments = List.copyOf(arguments);
    results = List.copyOf(results);
  }

  /**
   * Reads a call in the language that {@link dev.weft.core.graph.Kernel} describes.
   *
   * @throws IllegalArgumentException if it is not in that language
   */
  public static KernelCall parse(String text) {
    return new KernelParser(text).call();
  }
}
