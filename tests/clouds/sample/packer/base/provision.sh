#!/bin/sh
# Something to change.
true
