package dev.weft.engine.library;

/** libtorch refused or failed a call. The message names the call, its arguments and the reason. */
public final class KernelException extends RuntimeException {
  private final String operation;

  KernelException(String operation, String arguments, String reason) {
    super(operation + "(" + arguments + ") failed: " + reason);
    this.operation = operation;
  }

  /** The name of the operator or function that failed. */
  public String operation() {
    return operation;
  }
}
