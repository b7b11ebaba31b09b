"""The kopf face: Estates and mapping ConfigMaps are watched here and handed to the register. Nothing else imports kopf."""
