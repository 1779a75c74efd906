package dev.weft.runtime.collective;

/** A device has waited in vain for others to take part in a collective. */
public final class CollectiveTimeoutException extends RuntimeException {
  CollectiveTimeoutException(String message) {
    super(message);
  }
}
