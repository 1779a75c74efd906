package dev.weft.core.program;

/**
 * What a device does side by side. Steps of one queue run one after another, in the order in which
 * they stand; steps of different queues only wait for what they say that they await.
 */
public enum Queue {
  COMPUTE("compute"),
  SEND("send"),
  RECEIVE("receive"),
  COLLECTIVE("collective"),
  TO_HOST("to-host"),
  FROM_HOST("from-host");

  private final String text;

  Queue(String text) {
    this.text = text;
  }

  public String text() {
    return text;
  }
}
