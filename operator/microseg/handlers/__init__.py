"""The kopf face: Estates and mapping ConfigMaps are watched here for the register. Nothing else imports kopf."""
