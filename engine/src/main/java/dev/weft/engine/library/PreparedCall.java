package dev.weft.engine.library;

import dev.weft.core.cluster.DeviceKind;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.stream.Collectors;

/**
 * A call of libtorch with everything at hand: {@link #invoke} looks nothing up and allocates
 * nothing in Java. It belongs to one thread; its native cells live as long as the arena that it was
 * prepared in.
 */
public abstract sealed class PreparedCall permits DispatcherCall, ShimCall {
  private final String operation;
  private final List<Argument> arguments;

  PreparedCall(String operation, List<Argument> arguments) {
    this.operation = operation;
    this.arguments = List.copyOf(arguments);
  }

  /**
   * A call of an operator through libtorch's dispatcher, which accepts any operator whose schema
   * has no {@code Scalar}.
   *
   * @param operator for example {@code aten::mm}
   * @param overload for example {@code out}; may be empty
   * @param arguments ALL arguments of the schema in order, those with defaults too
   * @param results what becomes of each tensor that the schema returns
   */
  public static PreparedCall dispatcher(
      Arena arena,
      String operator,
      String overload,
      List<Argument> arguments,
      List<Result> results) {
    return new DispatcherCall(arena, operator, overload, arguments, results);
  }

  /**
   * A call of a kernel's direct function, which spares the copies of handles.
   *
   * @param name for example {@code mm_out}
   * @param arguments all arguments as its header declares them, but for the results at the end
   * @param results what becomes of each tensor that it returns through its last arguments
   * @throws IllegalArgumentException if this libtorch has no such function for the kind of device
   */
  public static PreparedCall shim(
      Arena arena, DeviceKind kind, String name, List<Argument> arguments, List<Result> results) {
    return new ShimCall(arena, kind, name, arguments, results);
  }

  /**
   * Makes the call.
   *
   * @throws KernelException if libtorch refuses or fails it
   * @throws IllegalStateException if a tensor is gone or not yet there, or the arena is closed
   */
  public abstract void invoke();

  /** Replaces the value of an {@link Argument.Int} for the calls to come. */
  public final void set(int argument, long value) {
    if (!(arguments.get(argument) instanceof Argument.Int)) {
      throw new IllegalArgumentException("argument " + argument + " of " + this + " is no int");
    }
    setBits(argument, value);
  }

  /** Replaces the value of an {@link Argument.Real} for the calls to come. */
  public final void set(int argument, double value) {
    if (!(arguments.get(argument) instanceof Argument.Real)) {
      throw new IllegalArgumentException("argument " + argument + " of " + this + " is no float");
    }
    setBits(argument, Double.doubleToRawLongBits(value));
  }

  abstract void setBits(int argument, long bits);

  /** The operator or function called. */
  public final String operation() {
    return operation;
  }

  final KernelException failure(Torch torch) {
    // The message first: describing the arguments calls libtorch too.
    String reason = torch.message();
    return new KernelException(
        operation,
        arguments.stream().map(Argument::toString).collect(Collectors.joining(", ")),
        reason);
  }

  static void settle(Result result, long handle) {
    switch (result) {
      case Result.Discard _ -> Tensors.delete(handle);
      case Result.Keep(TensorSlot slot) -> slot.fill(handle);
    }
  }

  @Override
  public String toString() {
    return operation;
  }
}
