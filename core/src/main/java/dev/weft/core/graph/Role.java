package dev.weft.core.graph;

/** What a node is for in a training step. */
public enum Role {
  FORWARD("forward"),
  INPUT_GRADIENT("input-gradient"),
  WEIGHT_GRADIENT("weight-gradient"),
  RECOMPUTE("recompute"),
  UPDATE("update");

  private final String text;

  Role(String text) {
    this.text = text;
  }

  public String text() {
    return text;
  }
}
