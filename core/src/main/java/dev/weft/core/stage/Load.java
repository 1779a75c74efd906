package dev.weft.core.stage;

/**
 * What a piece takes for one micro-batch.
 *
 * @param time of its nodes and of receiving, in the unit of the costs
 * @param forward the part of the time that its nodes take forward
 * @param received bytes of values from other pieces
 * @param parameters bytes of the parameters that it reads
 * @param kept bytes that its nodes keep until their backward
 */
public record Load(double time, double forward, long received, long parameters, long kept) {}
