package dev.weft.runtime.collective;

/** One of several devices that compute together has failed: the others stop with this. */
public final class DeviceFailedException extends RuntimeException {
  private final String device;

  /**
   * A failure.
   *
   * @param device which device
   */
  public DeviceFailedException(String device, Throwable cause) {
    super("device " + device + " failed: " + reason(cause), cause);
    this.device = device;
  }

  private static String reason(Throwable cause) {
    String message = cause.getMessage();
    return message == null || message.isBlank() ? cause.toString() : message;
  }

  /** Which device failed. */
  public String device() {
    return device;
  }
}
